"""The parts of the record: its tables, rows, hash chain and database. `remanent.study.store` puts them together."""
