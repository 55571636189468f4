"""Schema of the stores, as numbered files of SQL, one folder per database."""
