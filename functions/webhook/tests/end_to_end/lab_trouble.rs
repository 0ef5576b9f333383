//! Trouble in the lab, and configurations that cannot work: said clearly, and no job is lost.
