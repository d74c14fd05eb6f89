CREATE TABLE decision_issued (
    jti TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    token TEXT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX decision_issued_subject ON decision_issued (subject);
CREATE TABLE decision_revoked (
    list BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    evidence TEXT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (list, idx)
);
