CREATE TABLE decision_nonce (
    nonce TEXT PRIMARY KEY,
    jti TEXT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE TABLE decision_accepted (
    jti TEXT PRIMARY KEY,
    claims TEXT NOT NULL,
    salt TEXT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE TABLE decision_leaf (
    leaf TEXT PRIMARY KEY,
    jti TEXT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE TABLE decision_restraint (
    audience TEXT NOT NULL,
    pseudonym TEXT NOT NULL,
    period TEXT NOT NULL,
    program TEXT NOT NULL,
    jurisdiction TEXT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (audience, pseudonym, period)
);
