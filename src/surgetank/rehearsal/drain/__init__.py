"""The drain bench: how fast, and how safely, a release law drains a backlog, in many worlds.

`world`, `reader` and `generator` say what a world is and where worlds come from; `bench` plays
laws in them; `document`, `summary`, `terminal` and `plot` say what came of it. Only what plays
(`engine`, `law`, `compiled`) needs the extra `surgetank[bench]`; the rest works without.
"""
