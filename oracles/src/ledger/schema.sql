CREATE TABLE ledger_entry (
    idx BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    commitment TEXT NOT NULL,
    UNIQUE (kind, commitment)
);
CREATE TABLE ledger_state (
    origin TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    root TEXT NOT NULL,
    standing TEXT NOT NULL
);
CREATE TABLE ledger_checkpoint (
    size BIGINT PRIMARY KEY,
    note TEXT NOT NULL
);
