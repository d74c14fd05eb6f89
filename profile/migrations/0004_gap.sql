-- An enquiry to an insurer about a household's need: written down before it is sent, with its one-time key.
CREATE TABLE gap_enquiry (
    enquiry TEXT PRIMARY KEY,
    profile TEXT NOT NULL REFERENCES profile (profile),
    -- Keyed digest of the caller's key and need: the same need finds its enquiries again.
    need TEXT NOT NULL,
    insurer TEXT NOT NULL,
    wallet_index BIGINT NOT NULL,
    -- Enquiry and one-time key, then offers and rules too; sealed.
    asked TEXT NOT NULL,
    answered TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (profile, need, insurer)
);

CREATE TABLE gap_offer (
    offer TEXT PRIMARY KEY,
    enquiry TEXT NOT NULL REFERENCES gap_enquiry (enquiry)
);

-- A purchase, from before it leaves: one for an enquiry, and no two of a profile whose days meet.
CREATE TABLE gap_policy (
    enquiry TEXT PRIMARY KEY REFERENCES gap_enquiry (enquiry),
    profile TEXT NOT NULL REFERENCES profile (profile),
    offer TEXT NOT NULL,
    -- The question whose token backs it.
    question TEXT NOT NULL REFERENCES question (question),
    -- buying, held, ending, ended, refused
    state TEXT NOT NULL,
    policy TEXT UNIQUE,
    -- First day of cover, and first day without.
    start_day TEXT NOT NULL,
    end_day TEXT NOT NULL,
    -- Policy and statement; sealed.
    document TEXT,
    statement TEXT,
    changed_at BIGINT NOT NULL
);
CREATE INDEX gap_policy_profile ON gap_policy (profile, state);
