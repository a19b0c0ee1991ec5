"""What passes between stages: schemas, reading, writing and checking. Rows meet by id, never by position."""
