"""Times to an event: Cox regression, Kaplan-Meier, concordance, martingale residuals."""
