-- What the release repository has, so that orders and decisions need not read it. The repository is the truth: rows are
-- made from its signed metadata after each publication.

CREATE TABLE releases (
  product text NOT NULL,
  version text NOT NULL,
  -- SHA-256 of the manifest: the release's name.
  digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
  impact text NOT NULL CHECK (impact IN ('low', 'medium', 'high')),
  -- Incident types that it claims to cure.
  fixes text[] NOT NULL DEFAULT '{}',
  undo text NOT NULL CHECK (undo IN ('code_only', 'needs_snapshot')),
  approvals_required integer NOT NULL DEFAULT 0 CHECK (approvals_required >= 0),
  files integer NOT NULL CHECK (files >= 0),
  bytes bigint NOT NULL CHECK (bytes >= 0),
  pack_bytes bigint NOT NULL CHECK (pack_bytes >= 0),
  -- The manifest without its list of files.
  manifest jsonb NOT NULL,
  published_at timestamptz NOT NULL,
  published_by text,
  -- Signed by release keys.
  revoked_at timestamptz,
  revoked_reason text,
  -- Said here, at once; a signed revocation should follow.
  blocked_at timestamptz,
  blocked_reason text,
  blocked_by text,
  -- No longer among the signed releases.
  withdrawn_at timestamptz,
  PRIMARY KEY (product, version)
);
