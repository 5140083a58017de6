"""Each stage of an experiment by itself: it reads what the stage before it wrote to a workspace, and writes what the
next one reads."""
