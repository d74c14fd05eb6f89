-- Consent to reading a domain's sources, as the owner said it since enrolment. No row: as at enrolment, in the sealed claims.
CREATE TABLE consent (
    profile TEXT NOT NULL REFERENCES profile (profile),
    domain TEXT NOT NULL,
    -- Last day; null where none was named.
    until_day TEXT,
    withdrawn_at BIGINT,
    PRIMARY KEY (profile, domain)
);

-- What is over by a term is found by its age.
CREATE INDEX idempotency_created ON idempotency (created_at);
