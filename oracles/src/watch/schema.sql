-- No value, no source key, no authorisation key: a sealed handle, keyed digests and keyed hashes.
CREATE TABLE watch (
  watch TEXT PRIMARY KEY,
  domain TEXT NOT NULL,
  owner TEXT NOT NULL,
  reader TEXT NOT NULL,
  handle TEXT NOT NULL,
  expires BIGINT NOT NULL
);
CREATE INDEX watch_owner ON watch (owner);
CREATE INDEX watch_expires ON watch (expires);
-- digest: of the last agreed value, empty before the first.
CREATE TABLE watch_fact (
  watch TEXT NOT NULL,
  attribute TEXT NOT NULL,
  days BIGINT NOT NULL,
  digest TEXT NOT NULL,
  tries BIGINT NOT NULL,
  retry_at BIGINT,
  PRIMARY KEY (watch, attribute)
);
CREATE INDEX watch_fact_retry ON watch_fact (retry_at) WHERE retry_at IS NOT NULL;
CREATE TABLE watch_key (
  hash TEXT NOT NULL,
  watch TEXT NOT NULL,
  PRIMARY KEY (hash, watch)
);
CREATE INDEX watch_key_watch ON watch_key (watch);
CREATE TABLE watch_reader (
  domain TEXT NOT NULL,
  reader TEXT NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (domain, reader)
);
CREATE TABLE watch_notice (
  domain TEXT NOT NULL,
  reader TEXT NOT NULL,
  seq BIGINT NOT NULL,
  watch TEXT NOT NULL,
  attribute TEXT NOT NULL,
  day BIGINT NOT NULL,
  PRIMARY KEY (domain, reader, seq)
);
CREATE INDEX watch_notice_watch ON watch_notice (watch);
CREATE INDEX watch_notice_day ON watch_notice (day);
CREATE TABLE watch_feed (
  feed TEXT PRIMARY KEY,
  marker TEXT NOT NULL
);
