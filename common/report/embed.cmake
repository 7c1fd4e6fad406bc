# Puts the page of report.html together and makes a C++ source of it:
#   cmake -DPAGE=FOLDER -DCHART_JS=FILE -DCHART_JS_LICENCE=FILE -DOUT=FILE -P embed.cmake
# Text is kept as it is, so nothing here may pass it on as a list.

cmake_policy(VERSION 3.25)

# Reads a file and refuses what would end the element or literal around it.
function(read_page file forbidden result)
  file(READ "${file}" text)
  string(TOLOWER "${text}" lower)
  foreach(end IN ITEMS ${forbidden} "</script" "</style" ")parley_page\"")
    string(FIND "${lower}" "${end}" at)
    if(NOT at EQUAL -1)
      message(FATAL_ERROR "${file} has ${end} in it, which would end what is around it")
    endif()
  endforeach()
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

file(READ "${PAGE}/report.html" html)
read_page("${PAGE}/report.css" "" css)
read_page("${CHART_JS}" "" chart)
read_page("${CHART_JS_LICENCE}" "*/" licence)
string(APPEND scripts "/*\nChart.js stands below, from Debian's package libjs-chart.js. Of its origin and licence:\n\n"
       "${licence}*/\n" "${chart}\n")
foreach(name data charts matrix page)
  read_page("${PAGE}/${name}.js" "" text)
  string(APPEND own "${text}")
endforeach()

string(REPLACE "/* report.css */" "${css}" html "${html}")
string(FIND "${html}" "<!-- data -->" at)
string(SUBSTRING "${html}" 0 ${at} head)
string(SUBSTRING "${html}" ${at} -1 tail)
string(REPLACE "<!-- data -->\n" "" tail "${tail}")
# By position: a REPLACE would look into the text that it has put in.
foreach(part chart own)
  string(FIND "${tail}" "/* ${part} */" at)
  string(LENGTH "/* ${part} */" length)
  math(EXPR after "${at} + ${length}")
  string(SUBSTRING "${tail}" 0 ${at} before)
  string(SUBSTRING "${tail}" ${after} -1 rest)
  if(part STREQUAL "chart")
    set(tail "${before}${scripts}${rest}")
  else()
    set(tail "${before}${own}${rest}")
  endif()
endforeach()

file(WRITE "${OUT}" "// Made by embed.cmake.\n"
  "namespace parley {\n"
  "extern const char* const kReportPageHead;\n"
  "extern const char* const kReportPageTail;\n"
  "const char* const kReportPageHead = R\"parley_page(${head})parley_page\";\n"
  "const char* const kReportPageTail = R\"parley_page(${tail})parley_page\";\n"
  "}  // namespace parley\n")
