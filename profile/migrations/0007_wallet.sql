-- Added to every high-water mark: `wallet_mark.next` counts from here. Raised when the database is found to be older than
-- what was used, so that a restored database reuses no index.
CREATE TABLE wallet_skip (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    skipped BIGINT NOT NULL
);
INSERT INTO wallet_skip (one, skipped) VALUES (1, 0);

-- How often each holder of a witness file used indexes up. A file that counted further saw a later database.
CREATE TABLE wallet_witness (
    witness TEXT PRIMARY KEY,
    seq BIGINT NOT NULL
);

-- Operator keys, by a name that tells them apart and nothing else: place 1 is in use, place 2 is what a rewrap leads to.
CREATE TABLE operator_key (
    key_id TEXT PRIMARY KEY,
    place BIGINT NOT NULL UNIQUE,
    -- Sealed under this key: what tokens and salts follow from. It stays when the key changes.
    root TEXT NOT NULL
);

-- Which key a seed is sealed under; null before the service first starts with this table. A key that a seed refers to
-- cannot be removed.
ALTER TABLE profile ADD COLUMN seed_key TEXT REFERENCES operator_key (key_id);
CREATE INDEX profile_seed_key ON profile (seed_key, profile);
