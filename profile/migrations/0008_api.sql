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
