-- How far the notifier's events have been taken in. A notifier is known by its key: one with another key begins anew.
CREATE TABLE heard_until (
    notifier TEXT PRIMARY KEY,
    seq BIGINT NOT NULL
);

-- What the notifier said of a contact handle. No row: nothing was said, and the contact can be texted.
CREATE TABLE contact_standing (
    contact TEXT PRIMARY KEY,
    -- 'refused' or 'suspended' while the phone is not the owner's.
    phone TEXT,
    stopped BIGINT NOT NULL DEFAULT 0,
    shared BIGINT NOT NULL DEFAULT 0,
    changed_at BIGINT NOT NULL
);

-- Decisions that the owner answered, or that ended without an answer.
CREATE TABLE decision_heard (
    decision TEXT PRIMARY KEY,
    heard_at BIGINT NOT NULL
);

-- Owners' WRONG to the text about a decision; late where it came after the answer was used.
CREATE TABLE owner_dispute (
    decision TEXT PRIMARY KEY,
    late BIGINT NOT NULL,
    disputed_at BIGINT NOT NULL
);
