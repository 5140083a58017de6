"""The demo: a catalogue of real films, and people who are made up."""
