-- A leaf of no question is in stock: for whichever question asks its contract for its audience.
UPDATE attestation SET question = '' WHERE other_audience = 1;
ALTER TABLE attestation DROP COLUMN other_audience;
CREATE INDEX attestation_question ON attestation (profile, question, used_by);

-- Whether a question has its facts read anew, whatever the stock holds.
ALTER TABLE question ADD COLUMN anew BIGINT NOT NULL DEFAULT 0;

-- From when the stock of a profile and domain is to be looked after, and until when a worker that does so is not disturbed.
CREATE TABLE refill (
    profile TEXT NOT NULL REFERENCES profile (profile),
    domain TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    held_until BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (profile, domain)
);
CREATE INDEX refill_due ON refill (due_at);
