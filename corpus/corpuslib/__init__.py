"""The builder of the public corpus; corpus/build is the command."""
