-- One row a request in place of one a leaf, and batches that many requests share. What was in flight is asked again.
DROP TABLE attest_ack;
DROP TABLE attest_batch;
CREATE TABLE attest_request (
  domain TEXT NOT NULL,
  request TEXT NOT NULL,
  leaves TEXT NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (domain, request)
);
CREATE INDEX attest_request_expires ON attest_request (expires);
CREATE TABLE attest_root (
  root TEXT PRIMARY KEY,
  signed TEXT NOT NULL,
  receipt TEXT NOT NULL,
  hashes TEXT NOT NULL,
  expires BIGINT NOT NULL
);
CREATE TABLE attest_member (
  domain TEXT NOT NULL,
  request TEXT NOT NULL,
  root TEXT NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (domain, request, root)
);
CREATE INDEX attest_member_expires ON attest_member (expires);
CREATE TABLE attest_quota (
  day BIGINT NOT NULL,
  caller TEXT NOT NULL,
  used BIGINT NOT NULL,
  PRIMARY KEY (day, caller)
);
