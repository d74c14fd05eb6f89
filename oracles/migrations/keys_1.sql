-- Changes of epoch that this node has verified: the statement, the committee's signature and the ledger's receipt.
CREATE TABLE committee_epoch (
    committee TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (committee, epoch)
);
-- The one successor of an epoch that this node votes for. Written before it votes; from then on it signs nothing else
-- in that epoch.
CREATE TABLE epoch_vote (
    committee TEXT NOT NULL,
    previous BIGINT NOT NULL,
    digest TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (committee, previous)
);
-- When this node first saw an epoch in force, in Unix seconds: from there a refresh falls due.
CREATE TABLE epoch_seen (
    committee TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (committee, epoch)
);
