-- A re-proofing that waits; one per person.
CREATE TABLE reproofing (
  subject_ref TEXT PRIMARY KEY,
  enrolment TEXT NOT NULL,
  pseudonym_key TEXT NOT NULL,
  ready BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  objected BIGINT NOT NULL
);
-- Until when a person whose key was replaced gets no other.
CREATE TABLE reproofed (
  subject_ref TEXT PRIMARY KEY,
  until BIGINT NOT NULL
);
