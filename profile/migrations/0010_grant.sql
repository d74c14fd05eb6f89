-- Who may act for an owner (42 CFR 435.923). Terms and replies are sealed under a key of the wallet.
CREATE TABLE representative_grant (
    grant_id TEXT PRIMARY KEY,
    profile TEXT NOT NULL REFERENCES profile (profile),
    -- owner; or agency or operator, a space, and its audience or name.
    made_by TEXT NOT NULL,
    -- Indexes of the wallet keys that seal it, and that the representative is known by.
    wallet_index BIGINT NOT NULL,
    key_index BIGINT NOT NULL,
    terms TEXT NOT NULL,
    -- proposed, offered, active, declined, revoked, ended
    standing TEXT NOT NULL,
    standing_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- When a worker is to look after it; null when nothing follows.
    due_at BIGINT,
    held_until BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX representative_grant_profile ON representative_grant (profile, standing);
CREATE INDEX representative_grant_due ON representative_grant (due_at);

-- What a grant keeps: the signed replies that made it. Sealed.
CREATE TABLE grant_document (
    grant_id TEXT NOT NULL REFERENCES representative_grant (grant_id),
    kind TEXT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (grant_id, kind)
);

-- Decisions that a representative was asked about in the owner's place, and what became of the reply.
CREATE TABLE grant_use (
    decision TEXT PRIMARY KEY,
    grant_id TEXT NOT NULL REFERENCES representative_grant (grant_id),
    -- apply, change or gap
    purpose TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    settled_at BIGINT,
    -- yes, no, closed, or why a reply counted for nothing
    outcome TEXT,
    -- When the owner was told.
    told_at BIGINT
);
CREATE INDEX grant_use_grant ON grant_use (grant_id, asked_at);
