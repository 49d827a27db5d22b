//! Floor 2: the release repository.
