CREATE TABLE desk_number (
  one BIGINT PRIMARY KEY,
  last BIGINT NOT NULL
);
INSERT INTO desk_number (one, last) VALUES (1, 0);
CREATE TABLE desk_entry (
  number BIGINT PRIMARY KEY,
  once TEXT NOT NULL UNIQUE,
  key_name TEXT NOT NULL,
  key_value TEXT NOT NULL,
  attribute TEXT NOT NULL,
  recorded BIGINT NOT NULL,
  entry TEXT NOT NULL
);
CREATE INDEX desk_entry_record ON desk_entry (key_name, key_value, attribute, number);
CREATE INDEX desk_entry_recorded ON desk_entry (recorded);
