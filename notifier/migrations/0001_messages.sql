-- Works on SQLite and Postgres: TEXT and BIGINT columns only; times are Unix seconds.
CREATE TABLE phone (
  phone_index TEXT PRIMARY KEY,
  blocked BIGINT NOT NULL,
  shared BIGINT NOT NULL,
  last_inbound TEXT,
  last_inbound_at BIGINT
);
CREATE TABLE contact (
  id TEXT PRIMARY KEY,
  phone_index TEXT NOT NULL REFERENCES phone (phone_index),
  sealed_phone TEXT NOT NULL,
  language TEXT NOT NULL,
  state TEXT NOT NULL,
  verified_at BIGINT,
  recovery_digest TEXT NOT NULL,
  recovery_failures BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX contact_by_phone ON contact (phone_index, created_at);
CREATE TABLE decision (
  decision_id TEXT PRIMARY KEY,
  caller TEXT NOT NULL,
  contact TEXT NOT NULL REFERENCES contact (id),
  phone_index TEXT NOT NULL,
  question TEXT NOT NULL,
  sealed_params TEXT NOT NULL,
  code TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  deadline BIGINT NOT NULL,
  undo_seconds BIGINT NOT NULL,
  state TEXT NOT NULL,
  replied_at BIGINT,
  undo_until BIGINT,
  wrong_codes BIGINT NOT NULL,
  unclear BIGINT NOT NULL
);
CREATE INDEX decision_by_phone ON decision (phone_index, created_at);
CREATE INDEX decision_by_state ON decision (state, deadline);
-- At most one decision is open per code word of a phone.
CREATE UNIQUE INDEX decision_open ON decision (phone_index, code) WHERE state IN ('open', 'yes');
CREATE TABLE message (
  id TEXT PRIMARY KEY,
  caller TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  request_digest TEXT NOT NULL,
  contact TEXT NOT NULL REFERENCES contact (id),
  phone_index TEXT NOT NULL,
  template TEXT NOT NULL,
  sealed_params TEXT NOT NULL,
  decision_id TEXT,
  state TEXT NOT NULL,
  reason TEXT,
  unasked BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  looks BIGINT NOT NULL,
  provider TEXT,
  provider_id TEXT,
  attempted_at BIGINT,
  sent_at BIGINT,
  due BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (caller, idempotency_key)
);
CREATE INDEX message_due ON message (state, due);
CREATE INDEX message_lately ON message (phone_index, sent_at);
-- One text at a time is being handed over to a phone: what a provider's look-up finds is then that text and no other.
CREATE UNIQUE INDEX message_sending ON message (phone_index) WHERE state = 'sending';
CREATE UNIQUE INDEX message_by_provider ON message (provider, provider_id) WHERE provider_id IS NOT NULL;
CREATE TABLE inbound (
  message_id TEXT PRIMARY KEY,
  received_at BIGINT NOT NULL
);
CREATE TABLE event_count (
  caller TEXT PRIMARY KEY,
  seq BIGINT NOT NULL
);
CREATE TABLE event (
  caller TEXT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (caller, seq)
);
