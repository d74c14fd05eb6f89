-- Numbers that are given out in the order in which transactions commit, without gaps.
CREATE TABLE sequence (
    name TEXT PRIMARY KEY,
    next BIGINT NOT NULL
);

-- Calls to the API: who did what, when and with what outcome. No path, body, token or key of any kind.
CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    -- operator, navigator, agency, insurer, owner, provider, or unknown
    kind TEXT NOT NULL,
    -- The configured name of a caller; the random id of an owner's or a flag's profile; empty when unknown.
    who TEXT NOT NULL,
    method TEXT NOT NULL,
    -- The route, with names in place of ids.
    route TEXT NOT NULL,
    -- Status of the answer; 0 while there is none, for ever if the process died.
    status BIGINT NOT NULL
);
CREATE INDEX audit_who ON audit (kind, who, seq);

-- Cases that agencies keep here: a keyed digest of audience and pseudonym, written when an application is accepted.
CREATE TABLE agency_case (
    case_digest TEXT PRIMARY KEY,
    profile TEXT NOT NULL REFERENCES profile (profile),
    -- The question whose application was accepted last; its contract is the one that is renewed.
    question TEXT NOT NULL REFERENCES question (question)
);

-- A batch of renewals that an agency asked for.
CREATE TABLE renewal (
    renewal TEXT PRIMARY KEY,
    audience TEXT NOT NULL,
    total BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX renewal_audience ON renewal (audience);

-- Its items, done by whichever worker claims them. Pseudonym and result are sealed under a key of the root.
CREATE TABLE renewal_item (
    renewal TEXT NOT NULL REFERENCES renewal (renewal),
    place BIGINT NOT NULL,
    pseudonym TEXT NOT NULL,
    result TEXT,
    due_at BIGINT NOT NULL,
    held_until BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0,
    done_at BIGINT,
    PRIMARY KEY (renewal, place)
);
CREATE INDEX renewal_item_due ON renewal_item (done_at, due_at);

-- What agencies were told about cases; sealed under a key of the root. A task tells once.
CREATE TABLE agency_notice (
    audience TEXT NOT NULL,
    seq BIGINT NOT NULL,
    task TEXT NOT NULL UNIQUE,
    at BIGINT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (audience, seq)
);
