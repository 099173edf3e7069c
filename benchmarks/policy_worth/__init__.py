"""What a learned policy is worth: accuracy against latency, beside chance and every fixed route (needs torch).

    python -m benchmarks.policy_worth --model gusodrop --json FILE --picture FILE

Every route is run for every image (routes share their beginnings), so that accuracies are exact expectations over the
gates, not means over draws.  Route times are measured on ONNX Runtime.  Needs the GTSRB images (EDGEBENCH_DATA).
"""
