"use strict";
(function () {
  var element = function (id) { return document.getElementById(id); };
  var list = element("list");
  if (!list) return;
  var results = JSON.parse(element("slm-results").textContent);
  var data = JSON.parse(element("slm-samples").textContent);
  var rows = data.rows;
  var reviews = {};
  JSON.parse(element("slm-reviews").textContent).forEach(function (review) {
    (reviews["_" + review.id] = reviews["_" + review.id] || []).push(review);
  });
  var names = results.systems.map(function (system) { return system.name; });
  var PAGE = 50;
  var shown = [];
  var page = 0;
  var cursor = 0;
  var opened = -1;

  // Everything that came from a model or a file goes through here, and only as text.
  function visible(text) {
    return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, function (c) {
      var code = c.charCodeAt(0);
      if (code < 32) return String.fromCharCode(0x2400 + code);
      if (code === 127) return "\u2421";
      return "\u27e8U+" + code.toString(16).toUpperCase().padStart(4, "0") + "\u27e9";
    });
  }
  function make(tag, className, text) {
    var node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = visible(text);
    return node;
  }
  function answer(row, system) {
    var value = row[4][system];
    var latency = row[5].length ? row[5][system] : null;
    if (value === 1) return { right: true, cause: "", output: row[2], latency: latency };
    return { right: value[0] === 1, cause: value[1], output: value[2], latency: latency };
  }
  function confidence(index, system) {
    var of = data.confidences && data.confidences[index];
    return of && of[system] !== null && of[system] !== undefined ? of[system] : null;
  }
  var OPINIONS = { agree: "agree", disagree: "judged wrongly", bad_target: "wrong target" };

  // ---- filters
  function matches(row, filter, system, tag, words) {
    if (tag && row[3].indexOf(tag) < 0) return false;
    var answers = row[4], right = 0;
    if (filter === "failures" && answer(row, system).right) return false;
    if (filter === "right" && !answer(row, system).right) return false;
    if (filter === "reviewed" && !reviews["_" + row[0]]) return false;
    if (filter === "unjudged" && !answer(row, system).cause) return false;
    if (filter === "disagreements" || filter === "all-wrong") {
      for (var i = 0; i < answers.length; i++) if (answers[i] === 1 || answers[i][0] === 1) right++;
      if (filter === "all-wrong" ? right > 0 : right === 0 || right === answers.length) return false;
    }
    if (!words) return true;
    if ((row[0] + "\n" + row[1] + "\n" + row[2]).toLowerCase().indexOf(words) >= 0) return true;
    for (var k = 0; k < answers.length; k++) {
      if (answers[k] !== 1 && answers[k][2] && answers[k][2].toLowerCase().indexOf(words) >= 0) return true;
    }
    return false;
  }
  function apply() {
    var filter = element("filter").value, system = +element("system").value;
    var tag = element("tag").value, words = element("search").value.trim().toLowerCase();
    shown = [];
    for (var i = 0; i < rows.length; i++) if (matches(rows[i], filter, system, tag, words)) shown.push(i);
    page = 0;
    cursor = 0;
    draw();
  }

  // ---- the list
  function head() {
    var row = document.createElement("tr");
    [["marks", "Answers"], ["question", "Prompt"], ["target", "Target"], ["id", "Id"]].forEach(function (column) {
      var cell = make("th", column[0], column[1]);
      cell.scope = "col";
      row.appendChild(cell);
    });
    list.tHead.appendChild(row);
  }
  function oneLine(text) { return text.slice(0, 400).replace(/\s+/g, " "); }
  function marks(row) {
    var cell = make("td", "marks");
    names.forEach(function (name, system) {
      var found = answer(row, system);
      var mark = make("span", found.right ? "mark-right" : found.cause ? "mark-none" : "mark-wrong", found.right ? "\u2713" : found.cause ? "\u2205" : "\u2717");
      mark.title = visible(name + ": " + (found.right ? "right" : found.cause ? found.cause.replace("_", " ") : "wrong"));
      cell.appendChild(mark);
    });
    return cell;
  }
  function draw() {
    var body = document.createElement("tbody");
    var start = page * PAGE;
    for (var i = start; i < Math.min(shown.length, start + PAGE); i++) {
      var row = rows[shown[i]];
      var line = document.createElement("tr");
      line.tabIndex = i === start + cursor ? 0 : -1;
      line.dataset.place = i;
      line.appendChild(marks(row));
      line.appendChild(make("td", "question", oneLine(row[1])));
      line.appendChild(make("td", "target mono", oneLine(row[2])));
      line.appendChild(make("td", "id", row[0]));
      body.appendChild(line);
    }
    list.replaceChild(body, list.tBodies[0]);
    var pages = Math.max(1, Math.ceil(shown.length / PAGE));
    element("page").textContent = (page + 1).toLocaleString("en") + " of " + pages.toLocaleString("en");
    element("previous").disabled = page === 0;
    element("next").disabled = page + 1 >= pages;
    element("pager").hidden = pages === 1;
    element("count").textContent = shown.length.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " samples" +
      (data.cut ? "; texts are cut after " + data.cut.toLocaleString("en") + " characters to keep this file small" : "");
  }
  function turn(by) {
    var pages = Math.ceil(shown.length / PAGE);
    if (page + by < 0 || page + by >= pages) return;
    page += by;
    cursor = 0;
    draw();
  }
  function move(by) {
    var lines = list.tBodies[0].rows;
    if (!lines.length) return;
    if (lines[cursor]) lines[cursor].tabIndex = -1;
    cursor = Math.max(0, Math.min(lines.length - 1, cursor + by));
    lines[cursor].tabIndex = 0;
    lines[cursor].focus();
  }

  // ---- differences
  function pretty(text) {
    try {
      var value = JSON.parse(text);
      if (value !== null && typeof value === "object") return JSON.stringify(value, null, 2);
    } catch (error) { /* not JSON: shown as it is */ }
    return text;
  }
  // Tokens of `to` marked as same or added and those of `from` as removed, by the
  // longest common subsequence; only prefix and suffix where texts are long.
  function difference(from, to) {
    var split = /(\s+|[{}\[\]",:.;!?()])/;
    var a = from.split(split).filter(Boolean), b = to.split(split).filter(Boolean);
    var start = 0, end = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start++;
    while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
    var x = a.slice(start, a.length - end), y = b.slice(start, b.length - end), middle = [];
    if (x.length * y.length > 1000000) {
      middle = [["del", x.join("")], ["ins", y.join("")]];
    } else {
      var width = y.length + 1, table = new Uint16Array((x.length + 1) * width);
      for (var i = x.length - 1; i >= 0; i--) for (var j = y.length - 1; j >= 0; j--) {
        table[i * width + j] = x[i] === y[j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
      }
      var p = 0, q = 0;
      while (p < x.length || q < y.length) {
        if (p < x.length && q < y.length && x[p] === y[q]) { middle.push(["", x[p]]); p++; q++; }
        else if (q >= y.length || (p < x.length && table[(p + 1) * width + q] >= table[p * width + q + 1])) middle.push(["del", x[p++]]);
        else middle.push(["ins", y[q++]]);
      }
    }
    return [["", a.slice(0, start).join("")]].concat(middle, [["", a.slice(a.length - end).join("")]]);
  }
  function marked(target, output) {
    var block = document.createElement("pre");
    // What does not parse is compared as it stands, or every space would differ.
    var parsed = pretty(output) !== output || output === pretty(target);
    difference(parsed ? pretty(target) : target, parsed ? pretty(output) : output).forEach(function (part) {
      if (!part[1]) return;
      if (part[0]) block.appendChild(make(part[0], "", part[1]));
      else block.appendChild(document.createTextNode(visible(part[1])));
    });
    return block;
  }

  // ---- one sample
  function block(title, remark, content) {
    var box = make("div", "block"), heading = make("h4", "", title);
    if (remark) heading.appendChild(remark);
    box.appendChild(heading);
    box.appendChild(content);
    return box;
  }
  function button(text, action) {
    var node = make("button", "", text);
    node.type = "button";
    node.addEventListener("click", action);
    return node;
  }
  function open(place) {
    if (place < 0 || place >= shown.length) return;
    opened = place;
    var row = rows[shown[place]], body = element("detail-body");
    body.textContent = "";
    var bar = make("div", "bar");
    bar.appendChild(make("h3", "", row[0]));
    var previous = button("Previous", function () { open(opened - 1); }), next = button("Next", function () { open(opened + 1); });
    previous.disabled = place === 0;
    next.disabled = place + 1 >= shown.length;
    bar.appendChild(previous);
    bar.appendChild(next);
    bar.appendChild(button("Close", function () { element("detail").close(); }));
    body.appendChild(bar);
    if (row[3].length) body.appendChild(make("p", "aside", row[3].join(", ")));
    body.appendChild(block("Prompt", null, make("pre", "", row[1])));
    body.appendChild(block("Target", null, make("pre", "", pretty(row[2]))));
    var answers = make("div", "pair");
    names.forEach(function (name, system) {
      var found = answer(row, system);
      var words = found.right ? "right" : found.cause ? found.cause.replace("_", " ") : "wrong";
      if (found.latency !== null && found.latency !== undefined) words += ", " + (found.latency >= 1000 ? (found.latency / 1000).toFixed(2) + " s" : found.latency.toPrecision(3) + " ms");
      var sure = confidence(shown[place], system);
      if (sure !== null) words += ", sure by " + sure.toFixed(3);
      var remark = make("small", found.right ? "mark-right" : "mark-wrong", words);
      answers.appendChild(block(name, remark, found.right ? make("pre", "", pretty(found.output)) : marked(row[2], found.output)));
    });
    body.appendChild(answers);
    (reviews["_" + row[0]] || []).forEach(function (review) {
      body.appendChild(make("p", "review", review.reviewer + ": " + (OPINIONS[review.opinion] || "comment") + (review.comment ? " \u2013 " + review.comment : "")));
    });
    if (!element("detail").open) element("detail").showModal();
    body.parentNode.scrollTop = 0;
    history.replaceState(null, "", "#sample=" + encodeURIComponent(row[0]));
  }

  // ---- events
  element("controls").addEventListener("submit", function (event) { event.preventDefault(); });
  ["filter", "system", "tag"].forEach(function (id) { element(id).addEventListener("change", apply); });
  var waiting;
  element("search").addEventListener("input", function () { clearTimeout(waiting); waiting = setTimeout(apply, 150); });
  element("previous").addEventListener("click", function () { turn(-1); });
  element("next").addEventListener("click", function () { turn(1); });
  list.addEventListener("click", function (event) {
    var line = event.target.closest("tr[data-place]");
    if (line) { cursor = +line.dataset.place - page * PAGE; open(+line.dataset.place); }
  });
  document.addEventListener("keydown", function (event) {
    var writing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (element("detail").open) {
      if (event.key === "j" || event.key === "ArrowRight") open(opened + 1);
      if (event.key === "k" || event.key === "ArrowLeft") open(opened - 1);
      return;
    }
    if (writing) { if (event.key === "Escape") event.target.blur(); return; }
    if (event.key === "/") { event.preventDefault(); element("search").focus(); }
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "[") turn(-1);
    else if (event.key === "]") turn(1);
    else if (event.key === "Enter" && event.target.dataset && event.target.dataset.place) open(+event.target.dataset.place);
    else if (list.contains(event.target) && (event.key === "ArrowDown" || event.key === "ArrowUp")) { event.preventDefault(); move(event.key === "ArrowDown" ? 1 : -1); }
  });

  var tags = {};
  rows.forEach(function (row) { row[3].forEach(function (tag) { tags["_" + tag] = tag; }); });
  Object.keys(tags).sort().slice(0, 500).forEach(function (key) {
    var option = make("option", "", tags[key]);
    option.value = tags[key];
    element("tag").appendChild(option);
  });
  if (!Object.keys(tags).length) element("tag").parentNode.hidden = true;
  element("detail").addEventListener("close", function () { history.replaceState(null, "", "#samples"); move(0); });
  head();
  apply();
  // A link to one sample opens it.
  var linked = location.hash.indexOf("#sample=") === 0 && location.hash.slice(8);
  if (linked) {
    for (var i = 0; i < rows.length; i++) if (encodeURIComponent(rows[i][0]) === linked) { open(i); break; }
  }
})();
