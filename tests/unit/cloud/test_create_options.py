"""createOptions: cut at 512 characters, joined as edgeAgent joins them."""

from __future__ import annotations

import pytest

from edge_expose_cloud.iotedge.create_options import CreateOptionsError, read_create_options, write_create_options


def settings(**fields: str) -> dict[str, str]:
    return {"image": "a:1", **fields}


WHOLE = {"Env": ["A=" + "x" * 1000]}


def test_long_options_are_cut_at_512_characters_and_read_back() -> None:
    fields = write_create_options(WHOLE)
    assert list(fields) == ["createOptions", "createOptions01"]
    assert [len(text) for text in fields.values()] == [512, len('{"Env":["A=' + "x" * 1000 + '"]}') - 512]
    assert read_create_options(settings(**fields)) == WHOLE


def test_no_chunk_ever_splits_a_character_outside_the_basic_plane() -> None:
    options = {"Env": ["A=" + "😀" * 700]}
    fields = write_create_options(options)
    assert all(text.isascii() for text in fields.values())
    assert read_create_options(dict(reversed(fields.items()))) == options


def test_more_than_100_fields_are_refused() -> None:
    with pytest.raises(CreateOptionsError, match="at most 100"):
        write_create_options({"Env": ["x" * 52000]})


@pytest.mark.parametrize("text", ["", "  ", "null", "NULL", "{}"])
def test_nothing_to_say_is_no_options(text: str) -> None:
    assert read_create_options(settings(createOptions=text)) == {}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param(
            {"createOptions": "{", "createOptions02": "}"}, "expected createOptions01 found createOptions02", id="a gap"
        ),
        pytest.param(
            {"createOptions01": "{", "createOptions02": "}"},
            'expected an empty field number but found "01"',
            id="no first field",
        ),
        pytest.param(
            {"createOptions00": "{", "createOptions01": "}"},
            'expected an empty field number but found "00"',
            id="numbered from 00",
        ),
        pytest.param({"createOptions": "{oops"}, "not JSON", id="not JSON"),
        pytest.param({"createOptions": "[]"}, "must be a JSON object", id="not an object"),
    ],
)
def test_fields_that_edge_agent_refuses(fields: dict[str, str], problem: str) -> None:
    with pytest.raises(CreateOptionsError, match=problem):
        read_create_options(settings(**fields))


def test_field_names_are_found_in_any_case_and_order() -> None:
    assert read_create_options(settings(CREATEOPTIONS01=":1}", CREATEOPTIONS='{"a"')) == {"a": 1}
