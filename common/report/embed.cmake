# Makes a C++ source of the texts of page/ and of Chart.js:
#   cmake -DPAGE=FOLDER -DCHART_JS=FILE -DCHART_JS_LICENCE=FILE -DOUT=FILE -P embed.cmake
# Text is kept as it is, so nothing here may pass it on as a list.

cmake_policy(VERSION 3.25)

# Reads a file and refuses what would end the element or literal around it.
function(read_page file forbidden result)
  file(READ "${file}" text)
  string(TOLOWER "${text}" lower)
  foreach(end IN ITEMS ${forbidden} ")parley_page\"")
    string(FIND "${lower}" "${end}" at)
    if(NOT at EQUAL -1)
      message(FATAL_ERROR "${file} has ${end} in it, which would end what is around it")
    endif()
  endforeach()
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

file(WRITE "${OUT}" "// Made by embed.cmake.\n#include \"common/report/page.h\"\nnamespace parley {\n")
function(write_page name)
  file(APPEND "${OUT}" "const char* const ${name} = R\"parley_page(")
  foreach(text IN LISTS ARGN)
    file(APPEND "${OUT}" "${${text}}")
  endforeach()
  file(APPEND "${OUT}" ")parley_page\";\n")
endfunction()

foreach(name report live body)
  read_page("${PAGE}/${name}.html" "" ${name}_html)
endforeach()
foreach(name data charts direction matrix page report live)
  read_page("${PAGE}/${name}.js" "</script" ${name}_js)
endforeach()
read_page("${PAGE}/report.css" "</style" css)
read_page("${CHART_JS}" "</script" chart)
read_page("${CHART_JS_LICENCE}" "*/" licence)
set(origin "/*\nChart.js stands below, from Debian's package libjs-chart.js. Of its origin and licence:\n\n")
set(end_origin "*/\n")

write_page(kReportHtml report_html)
write_page(kLiveHtml live_html)
write_page(kBodyHtml body_html)
write_page(kPageCss css)
write_page(kChartJs origin licence end_origin chart)
write_page(kPageJs data_js charts_js direction_js matrix_js page_js)
write_page(kReportJs report_js)
write_page(kLiveJs live_js)
file(APPEND "${OUT}" "}  // namespace parley\n")
