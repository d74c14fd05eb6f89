CREATE TABLE attest_ack (
  domain TEXT NOT NULL,
  request TEXT NOT NULL,
  attribute TEXT NOT NULL,
  period TEXT NOT NULL,
  leaf_index BIGINT NOT NULL,
  leaf_hash TEXT NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (domain, request, attribute, period, leaf_index)
);
CREATE INDEX attest_ack_expires ON attest_ack (expires);
CREATE TABLE attest_batch (
  domain TEXT NOT NULL,
  request TEXT NOT NULL,
  body TEXT NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (domain, request)
);
