//! Floor 4: reconcilers, on a signal and on a timer.
