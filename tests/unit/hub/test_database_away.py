"""What counts as a database that is away: then the hub says "try again", and else that something is wrong."""

from __future__ import annotations

import sqlite3

import pytest
from atoll.hub.database_away import away
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError


def test_a_server_that_does_not_answer_is_away(tmp_path) -> None:  # type: ignore[no-untyped-def]
    engine = create_engine(f"postgresql+psycopg://atoll@/hub?host={tmp_path}")
    with pytest.raises(OperationalError) as error:
        engine.connect()
    assert away(error.value)


def test_a_connection_that_was_cut_is_away() -> None:
    cut = ProgrammingError("SELECT 1", {}, Exception("closed"), connection_invalidated=True)
    assert away(cut)


def test_a_mistake_is_no_outage() -> None:
    with create_engine("sqlite://").connect() as connection:
        connection.execute(text("CREATE TABLE names (name TEXT UNIQUE)"))
        twice = text("INSERT INTO names VALUES ('ada'), ('ada')")
        with pytest.raises(IntegrityError) as error:
            connection.execute(twice)
    for wrong in (error.value, SQLAlchemyError("wrong"), sqlite3.Error(), ValueError(), None):
        assert not away(wrong)
