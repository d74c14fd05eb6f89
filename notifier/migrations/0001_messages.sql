-- Works on SQLite and Postgres: TEXT and BIGINT columns only; times are Unix seconds.
CREATE TABLE phone (
  phone_index TEXT PRIMARY KEY,
  blocked BIGINT NOT NULL
);
CREATE TABLE contact (
  id TEXT PRIMARY KEY,
  phone_index TEXT NOT NULL REFERENCES phone (phone_index),
  sealed_phone TEXT NOT NULL,
  language TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX contact_by_phone ON contact (phone_index, created_at);
CREATE TABLE decision (
  decision_id TEXT PRIMARY KEY,
  caller TEXT NOT NULL,
  contact TEXT NOT NULL REFERENCES contact (id),
  phone_index TEXT NOT NULL,
  jurisdiction TEXT NOT NULL,
  code TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  deadline BIGINT NOT NULL,
  undo_seconds BIGINT NOT NULL,
  state TEXT NOT NULL,
  replied_at BIGINT,
  undo_until BIGINT,
  wrong_codes BIGINT NOT NULL
);
CREATE INDEX decision_by_phone ON decision (phone_index, created_at);
-- At most one decision is open per phone.
CREATE UNIQUE INDEX decision_open ON decision (phone_index) WHERE state IN ('open', 'yes');
CREATE TABLE message (
  id TEXT PRIMARY KEY,
  caller TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  request_digest TEXT NOT NULL,
  contact TEXT NOT NULL REFERENCES contact (id),
  template TEXT NOT NULL,
  jurisdiction TEXT,
  decision_id TEXT,
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  due BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (caller, idempotency_key)
);
CREATE INDEX message_due ON message (state, due);
CREATE TABLE inbound (
  message_id TEXT PRIMARY KEY,
  received_at BIGINT NOT NULL
);
