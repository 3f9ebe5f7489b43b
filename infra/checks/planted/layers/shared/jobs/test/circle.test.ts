import "@warren/testing/jobs";
