"""From records to what a model is tuned on, and the tuning: adapters come out, base weights never change."""
