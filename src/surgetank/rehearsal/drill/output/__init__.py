"""What a drill leaves behind, but for its page: text for terminals, CI, reviewers and programs.

`terminal*` write for people, `review*` for those who review an incident, `junit` for CI. A result
is JSON, which `result_schema` describes and reads back; `change` holds two of them against each
other, by `direction`. `recording` writes one run event by event and plays it again.
"""
