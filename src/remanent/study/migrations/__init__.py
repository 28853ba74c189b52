"""Versions of the record's tables, for alembic.

A new record is made from the schema, and a new table or optional column of the schema is added to an old record without
a migration (`remanent.study.record.upgrade`). A migration is for what cannot be seen from the schema: a column renamed,
retyped or removed, values converted. Copy the newest file of `versions/`, number it on, and add a record of the version
before to the fixtures of tests/study/test_store_upgrade.py.
"""
