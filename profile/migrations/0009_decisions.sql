-- A late reply names its decision, and nothing else.
CREATE INDEX question_decision ON question (decision);
