// From a folder, a browser does not let a page read the others, which the lines under a search result need.
DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = location.protocol !== "file:";
