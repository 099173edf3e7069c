"""`python -m bench` is `edgebench`."""

from bench.cli.main import main

raise SystemExit(main())
