-- This node's own mark per committee; behind_until is set while it has lost memory that it must not sign over.
CREATE TABLE rollback_own (
    committee TEXT PRIMARY KEY,
    mark BIGINT NOT NULL,
    behind_until BIGINT
);
-- The highest mark that each other member signed, and the run it last started. signature is empty before the first mark.
CREATE TABLE rollback_peer (
    committee TEXT NOT NULL,
    node BIGINT NOT NULL,
    run TEXT NOT NULL,
    mark BIGINT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (committee, node)
);
