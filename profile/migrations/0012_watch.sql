-- What an owner lets be watched, and until when. Whoever claims a row grants and ends watches, tells the owner, and turns
-- changes into events.
CREATE TABLE watch_consent (
    profile TEXT PRIMARY KEY REFERENCES lifecycle (profile),
    -- JSON list of domains; none once the owner took all of it back.
    domains TEXT NOT NULL,
    -- The last day.
    until_day TEXT NOT NULL,
    -- What the owner was told last: begun, ending or ended; empty before.
    told TEXT NOT NULL DEFAULT '',
    -- When changes last became events.
    fired_at BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL,
    held_until BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX watch_consent_due ON watch_consent (due_at);

-- Watches, written before a grant leaves.
CREATE TABLE watch_grant (
    watch TEXT PRIMARY KEY,
    profile TEXT NOT NULL REFERENCES lifecycle (profile),
    domain TEXT NOT NULL,
    expires TEXT NOT NULL,
    -- 1 once it is over for the owner; it stays until every node has said so too, or until it expires.
    ended BIGINT NOT NULL DEFAULT 0,
    -- JSON list of nodes: those that hold it; of an ended one, those that have not forgotten it.
    nodes TEXT NOT NULL,
    -- The attributes, sealed under a key of the root.
    sealed TEXT NOT NULL
);
CREATE INDEX watch_grant_profile ON watch_grant (profile);

-- Nodes' voices for changes of a domain that no quorum has told yet; sealed.
CREATE TABLE watch_tally (
    profile TEXT NOT NULL REFERENCES lifecycle (profile),
    domain TEXT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (profile, domain)
);

-- Changes that a quorum told and that are no events yet; one of an attribute, which is sealed.
CREATE TABLE watch_change (
    profile TEXT NOT NULL REFERENCES lifecycle (profile),
    digest TEXT NOT NULL,
    sealed TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (profile, digest)
);

-- How far each node was read, in one transaction with the voices that it gave.
CREATE TABLE watch_cursor (
    domain TEXT NOT NULL,
    node BIGINT NOT NULL,
    seq BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL,
    held_until BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (domain, node)
);
CREATE INDEX watch_cursor_due ON watch_cursor (due_at);
