CREATE TABLE IF NOT EXISTS signing_key (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  seed BLOB NOT NULL
);
-- A case is a pseudonym: the agency meets the same person again under the same one, and nobody twice.
CREATE TABLE IF NOT EXISTS person_case (
  sub TEXT PRIMARY KEY,
  number TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS application (
  id TEXT PRIMARY KEY,
  jti TEXT NOT NULL UNIQUE,
  sub TEXT NOT NULL REFERENCES person_case (sub),
  contract TEXT NOT NULL,
  accepted_at INTEGER NOT NULL,
  signature TEXT NOT NULL
);
-- Every request that was verified and answered with an application.
CREATE TABLE IF NOT EXISTS received (
  digest TEXT PRIMARY KEY,
  application TEXT NOT NULL REFERENCES application (id)
);
-- What was said about an application, in order.
CREATE TABLE IF NOT EXISTS statement (
  application TEXT NOT NULL REFERENCES application (id),
  number INTEGER NOT NULL,
  said TEXT NOT NULL,
  PRIMARY KEY (application, number)
);
-- What the agency was told about a case, each key once.
CREATE TABLE IF NOT EXISTS notice (
  key TEXT PRIMARY KEY,
  application TEXT NOT NULL REFERENCES application (id),
  notice TEXT NOT NULL,
  told_at INTEGER NOT NULL
);
