CREATE TABLE IF NOT EXISTS secret (
  name TEXT PRIMARY KEY,
  seed BLOB NOT NULL
);
-- An enquiry is answered with the same offers however often it comes.
CREATE TABLE IF NOT EXISTS enquiry (
  id TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  reply_key TEXT NOT NULL,
  offers TEXT NOT NULL,
  asked TEXT NOT NULL
);
-- One policy for an enquiry, and one for a token: nobody is covered twice on the strength of one decision.
CREATE TABLE IF NOT EXISTS policy (
  id TEXT PRIMARY KEY,
  enquiry TEXT NOT NULL UNIQUE REFERENCES enquiry (id),
  jti TEXT NOT NULL UNIQUE,
  purchase TEXT NOT NULL,
  cnf TEXT NOT NULL,
  policy TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS ending (
  policy TEXT PRIMARY KEY REFERENCES policy (id),
  last_day TEXT NOT NULL,
  statement TEXT NOT NULL
);
-- Every cent, once: what was billed and what was paid back.
CREATE TABLE IF NOT EXISTS account (
  policy TEXT NOT NULL REFERENCES policy (id),
  kind TEXT NOT NULL CHECK (kind IN ('billed', 'refunded')),
  cents INTEGER NOT NULL CHECK (cents >= 0),
  PRIMARY KEY (policy, kind)
);
