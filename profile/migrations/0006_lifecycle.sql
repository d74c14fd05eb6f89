-- Where a profile's cover stands: the state after `seq` events, from which stepping through `lifecycle_event` from `first`
-- leads to the same. Sealed under a key of the wallet.
CREATE TABLE lifecycle (
    profile TEXT PRIMARY KEY REFERENCES profile (profile),
    wallet_index BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    first TEXT NOT NULL,
    state TEXT NOT NULL,
    -- From when time alone changes something; null when it does not.
    due_at BIGINT,
    held_until BIGINT NOT NULL DEFAULT 0,
    -- Hash of what a provider pulls the coverage flag by.
    flag_hash TEXT NOT NULL UNIQUE
);
CREATE INDEX lifecycle_due ON lifecycle (due_at);

-- Events in order, each with the salted commitment of its ledger entry. A source's key makes an event count once.
CREATE TABLE lifecycle_event (
    profile TEXT NOT NULL REFERENCES lifecycle (profile),
    seq BIGINT NOT NULL,
    source TEXT NOT NULL,
    sealed TEXT NOT NULL,
    entry TEXT NOT NULL,
    -- The ledger's receipt, once appended.
    receipt TEXT,
    PRIMARY KEY (profile, seq)
);
CREATE UNIQUE INDEX lifecycle_source ON lifecycle_event (profile, source);

-- What is to be done, written with the step that decided it; done by whichever worker claims it. Tasks of one lane of a
-- profile are done in order of `place`.
CREATE TABLE lifecycle_task (
    task TEXT PRIMARY KEY,
    profile TEXT NOT NULL REFERENCES lifecycle (profile),
    lane TEXT NOT NULL,
    place BIGINT NOT NULL,
    sealed TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    held_until BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0,
    done_at BIGINT
);
CREATE INDEX lifecycle_task_due ON lifecycle_task (done_at, due_at);
CREATE INDEX lifecycle_task_lane ON lifecycle_task (profile, lane, done_at, place);

-- What tasks leave for later ones: the question of a case, the owner's approval of an offer, an agency's reference.
CREATE TABLE lifecycle_document (
    profile TEXT NOT NULL REFERENCES lifecycle (profile),
    name TEXT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (profile, name)
);

-- Which text a question asks its owner with.
ALTER TABLE question ADD COLUMN template TEXT NOT NULL DEFAULT 'apply';
