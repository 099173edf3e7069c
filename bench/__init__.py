"""The harness: measures, judges, reports; the command line."""
