"""The published schema of scenario files says what the reader takes."""

from surgetank.rehearsal.scenario.file_schema import file_schema, published


def test_the_published_schema_is_current() -> None:
    assert published() == file_schema(), (
        "write it anew: python -m surgetank.rehearsal.scenario.file_schema"
    )


def test_numbers_that_need_a_source_are_names_of_figures() -> None:
    schema = file_schema()
    station = schema["$defs"]["IdentityStation"]["properties"]
    assert {field["type"] for field in station.values()} == {"string"}
    assert schema["properties"]["own_share"]["pattern"].startswith("^")
    assert schema["$defs"]["Variant"]["properties"]["share"]["type"] == "number"


def test_every_key_of_a_scenario_is_described() -> None:
    schema = file_schema()
    parts = {**schema["$defs"], "Scenario": schema}
    plain = {"title", "name", "kind"}
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, field in part.get("properties", {}).items()
        if "description" not in field and "$ref" not in field and key not in plain
    ]
    assert silent == []
