CREATE TABLE enrolment (
  subject_ref TEXT PRIMARY KEY,
  enrolment TEXT NOT NULL,
  signed BIGINT NOT NULL,
  pseudonym_key TEXT NOT NULL,
  held_until BIGINT NOT NULL
);
CREATE TABLE enrol_quota (
  day BIGINT NOT NULL,
  caller TEXT NOT NULL,
  used BIGINT NOT NULL,
  PRIMARY KEY (day, caller)
);
