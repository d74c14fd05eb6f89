-- Byte strings are base64url; days and periods ISO 8601; instants Unix seconds. "Sealed" columns hold ciphertexts.

CREATE TABLE profile (
    profile TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    -- Sealed under the operator key.
    seed TEXT NOT NULL,
    -- The notifier's opaque contact handle.
    contact TEXT,
    enrol_id TEXT NOT NULL,
    -- Which registration of the pseudonym, and which generation of authorisation keys.
    registration BIGINT NOT NULL,
    handles_expire TEXT,
    created_at BIGINT NOT NULL
);

-- High-water marks: every index below is used, whatever became of it.
CREATE TABLE wallet_mark (
    profile TEXT NOT NULL REFERENCES profile (profile),
    counter TEXT NOT NULL,
    next BIGINT NOT NULL,
    PRIMARY KEY (profile, counter)
);

-- Opaque: sealed to a node by the identity committee.
CREATE TABLE handle (
    profile TEXT NOT NULL REFERENCES profile (profile),
    domain TEXT NOT NULL,
    node BIGINT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (profile, domain, node)
);

-- S_d of a domain, and its blinding r_d sealed under a key of the wallet (made at this attempt of enrolment).
CREATE TABLE subject (
    profile TEXT NOT NULL REFERENCES profile (profile),
    domain TEXT NOT NULL,
    point TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    blinding TEXT NOT NULL,
    PRIMARY KEY (profile, domain)
);

-- Attested leaves with their openings, each sealed under a key of its own.
CREATE TABLE attestation (
    leaf_hash TEXT PRIMARY KEY,
    profile TEXT NOT NULL REFERENCES profile (profile),
    domain TEXT NOT NULL,
    attribute TEXT NOT NULL,
    period TEXT NOT NULL,
    contract TEXT NOT NULL,
    audience TEXT NOT NULL,
    withheld BIGINT NOT NULL,
    -- The question that fetched it, and whether for its own audience (0) or for another (1).
    question TEXT NOT NULL,
    other_audience BIGINT NOT NULL,
    wallet_index BIGINT NOT NULL,
    attestation TEXT NOT NULL,
    opening TEXT NOT NULL,
    observed TEXT NOT NULL,
    expires TEXT NOT NULL,
    -- The jti of the presentation that used the leaf up.
    used_by TEXT
);
CREATE INDEX attestation_unused ON attestation (profile, contract, audience, used_by);

CREATE TABLE question (
    question TEXT PRIMARY KEY,
    profile TEXT NOT NULL REFERENCES profile (profile),
    contract_id TEXT NOT NULL,
    contract_hash TEXT NOT NULL,
    jurisdiction TEXT NOT NULL,
    as_of TEXT NOT NULL,
    audience TEXT NOT NULL,
    withhold TEXT NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    verdict TEXT,
    decision TEXT,
    application TEXT,
    deadline BIGINT,
    -- Index of the wallet key that seals its documents.
    wallet_index BIGINT NOT NULL,
    -- Every step is a compare-and-set on this.
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX question_profile ON question (profile);

-- What a question keeps: presentation, token, receipts, reasons, reply. Sealed under the question's key.
CREATE TABLE document (
    question TEXT NOT NULL REFERENCES question (question),
    kind TEXT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (question, kind)
);

-- What is to leave the process, written with the step that decided it and sent by the next; sealed like documents.
CREATE TABLE outbox (
    question TEXT NOT NULL REFERENCES question (question),
    kind TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    PRIMARY KEY (question, kind)
);

-- Answers to Idempotency-Key: the resource that the first call made.
CREATE TABLE idempotency (
    scope TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    resource TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (scope, key_hash)
);
